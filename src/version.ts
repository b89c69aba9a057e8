import manifest from '../package.json' with { type: 'json' }

/** The package's own version, as `pgpack --version` prints it and manifests record it. */
export const VERSION: string = manifest.version
