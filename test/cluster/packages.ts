import { existsSync } from 'node:fs'
import { withLock } from './cache.ts'
import { HarnessError } from './errors.ts'
import { findCommand, isExecutable, run } from './processes.ts'
import { step } from './progress.ts'

/** Debian packages that the harness may need, and the executable that shows a package is installed. */
const executables = {
  buildah: 'buildah',
  conntrack: 'conntrack',
  containerd: 'containerd',
  'containernetworking-plugins': '/usr/lib/cni/bridge',
  iproute2: 'ip',
  iptables: 'iptables',
  mmdebstrap: 'mmdebstrap',
  mount: 'mount',
  openssl: 'openssl',
  pgcopydb: 'pgcopydb',
  'postgresql-client': 'psql',
  pgbouncer: 'pgbouncer',
  procps: 'sysctl',
  'python3-venv': 'python3',
  runc: 'runc',
  'util-linux': 'nsenter',
  zstd: 'zstd',
} as const

export type PackageName = keyof typeof executables

/**
 * Installs the named Debian packages that are missing.
 * @throws HarnessError `PREREQUISITE_MISSING` where this is not root on a Debian-like system.
 */
export async function ensurePackages(names: readonly PackageName[]): Promise<void> {
  if (missing(names).length === 0) return
  await withLock('packages', async () => {
    const packages = missing(names)
    if (packages.length === 0) return
    const list = packages.join(' ')
    if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
      throw new HarnessError(
        'PREREQUISITE_MISSING',
        `not installed: ${list}. On Debian or Ubuntu, as root: apt-get install --no-install-recommends ${list}`,
      )
    }
    await step(`installing ${list}`, '30 s', (log) => install(packages, log))
  })
}

async function install(packages: readonly string[], log: string): Promise<void> {
  const options = { log, env: { DEBIAN_FRONTEND: 'noninteractive' } }
  const patience = ['-o', 'DPkg::Lock::Timeout=300']
  await run('apt-get', ['update', ...patience], options)
  await run('apt-get', ['install', '--yes', '--no-install-recommends', ...patience, ...packages], options)
}

function missing(names: readonly PackageName[]): PackageName[] {
  return names.filter((name) => {
    const executable = executables[name]
    return executable.startsWith('/') ? !isExecutable(executable) : findCommand(executable) === undefined
  })
}
