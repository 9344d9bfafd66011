"""Reads the run spec's `secrets` on the instance, with the instance's own role.

Values live in the memory of the process that reads them and in the environment of the job. They go into no file, no
argument and no message.
"""
