/** A Python project's own description: its name and its dependencies. */
export const PACKAGE_FILE = 'pyproject.toml';
