/** Packages that only install others (download binaries, bring headers): in nothing that is delivered. */
export const INSTALL_ONLY = new Set(['prebuild-install', 'node-addon-api', 'node-gyp']);
