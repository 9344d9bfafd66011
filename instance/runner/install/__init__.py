"""The job `install` and the verb `probe`: the requirements of a project, as the user."""
