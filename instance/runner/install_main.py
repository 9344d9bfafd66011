"""The installer's entrance, a program beside the runner: `python3 -I -B <file> child install`, see CONTRACT.md."""

import sys

import install

sys.exit(install.main())
