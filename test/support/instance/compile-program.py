# Compiles the modules of the runner's program (a zip) into another zip, and prints its path. It is made once for each
# program and version of Python.
import importlib.util
import os
import sys
import zipfile

# Its functions have no public twin that takes the source as bytes.
from importlib import _bootstrap_external as external  # type: ignore[attr-defined]  # not in the type stubs

program, folder, name = sys.argv[1:]
path = "%s/%s-%s.zip" % (folder, name, sys.implementation.cache_tag)
if not os.path.exists(path):
    draft = "%s.%d" % (path, os.getpid())
    with zipfile.ZipFile(program) as sources, zipfile.ZipFile(draft, "w") as compiled:
        for module in sources.namelist():
            source = sources.read(module)
            code = compile(source, module, "exec", dont_inherit=True)
            # Python compares the hash of the source before it uses the code.
            pyc = external._code_to_hash_pyc(code, importlib.util.source_hash(source), True)
            compiled.writestr(module + "c", bytes(pyc))
    os.replace(draft, path)
print(path)
