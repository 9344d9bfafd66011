"""The job `sync`: brings an archive of code into the project's folder, as the user."""
