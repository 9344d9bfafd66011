#!/bin/sh
# Standard error stays empty and the exit code 0: the answer is one JSON object on standard output.
umask 022
if ! command -v python3 >/dev/null 2>&1; then
  echo '{"protocol":1,"ok":false,"error":{"name":"PythonMissing","message":"there is no python3 on PATH"}}'
  exit 0
fi
exec python3 -I -B -c '
@@PROGRAM@@
' <<'DATA'
{{ Request }}
DATA
