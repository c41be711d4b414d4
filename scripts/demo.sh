#!/usr/bin/env bash
# `npm run demo`: set-up where something is missing, then the demo, which leaves nothing behind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

bash scripts/setup.sh
bash scripts/features.sh
node_modules/.bin/tsc -p scripts/tsconfig.json
exec node dist/demo/scripts/demo.js
