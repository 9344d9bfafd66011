"""The script of the image that `npm run verify:aws` bakes: imports the package that the image has."""

import six

print("six", six.__version__)
