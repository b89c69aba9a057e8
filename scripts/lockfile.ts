/**
 * Completes package-lock.json after `npm install`.
 *
 * A registry mirror may hold a package's binary for this platform only. npm then leaves the other platforms out of the
 * lockfile, and `npm ci` refuses that lockfile everywhere. What is missing is added by name, version and platform: npm
 * skips those entries where they do not fit, and fetches them by version where they do.
 */
import { readFileSync, writeFileSync } from 'node:fs'

interface LockEntry {
  version?: string
  resolved?: string
  optional?: boolean
  dev?: boolean
  os?: string[]
  cpu?: string[]
  libc?: string[]
  optionalDependencies?: Record<string, string>
}

const SYSTEMS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'wasi',
  'wasm32',
  'win32',
  'windows',
]
const PROCESSORS = [
  'arm64',
  'armv7',
  'arm',
  'ia32',
  'loong64',
  'mips64el',
  'mips64',
  'ppc64',
  'ppc64le',
  'ppc',
  'riscv64',
  's390x',
  'x64',
  'wasm32',
  'universal',
]

const path = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(path, 'utf8')) as { packages: Record<string, LockEntry> }

function platformOf(name: string): Pick<LockEntry, 'os' | 'cpu' | 'libc'> {
  const words = name.split(/[/\-.]/)
  const os = words.find((word) => SYSTEMS.includes(word))
  const cpu = words.find((word) => PROCESSORS.includes(word))
  const libc = words.find((word) => word === 'musl' || word === 'gnu')
  return {
    os: [os === 'windows' ? 'win32' : (os ?? 'none')],
    ...(cpu === undefined || cpu === 'universal' ? {} : { cpu: [cpu === 'armv7' ? 'arm' : cpu] }),
    ...(libc === undefined ? {} : { libc: [libc === 'gnu' ? 'glibc' : 'musl'] }),
  }
}

for (const [location, entry] of Object.entries(lock.packages)) {
  delete entry.resolved
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`
    if (lock.packages[key] !== undefined || lock.packages[`${location}/${key}`] !== undefined) continue
    lock.packages[key] = {
      version: range.replace(/^[^\d]*/, ''),
      ...platformOf(name),
      optional: true,
      ...(entry.dev === true ? { dev: true } : {}),
    }
    process.stdout.write(`added ${key}@${range} ${JSON.stringify(platformOf(name))}\n`)
  }
}
const sorted = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(path, `${JSON.stringify({ ...lock, packages: sorted }, null, 2)}\n`)
