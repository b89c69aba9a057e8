import { readFileSync } from 'node:fs'

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

/** The package's own version, as `pgpack --version` prints it and manifests record it. */
export const VERSION = manifest.version
