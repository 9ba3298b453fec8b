#!/bin/sh
# Finds Python and builds the functions' package: build.sh OUTPUT_ZIP
for python in python3 python; do
  if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
    exec "$python" "$(dirname "$0")/build.py" "$1"
  fi
done
echo "Building the package of the Lambda functions needs Python 3.8 or newer as python3 or python." >&2
echo "Install it where Terraform runs, or give the module a ready package with the input lambda_package." >&2
exit 1
