import { mkdir, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { cached, digestFiles } from './cache.ts'
import { HarnessError } from './errors.ts'
import { findCommand, run } from './processes.ts'
import { step } from './progress.ts'

/** Commands that are built from Go modules, because not every machine can download their releases. */
export type ToolName =
  | 'copyrelay'
  | 'coredns'
  | 'etcd'
  | 'farlink'
  | 'helm'
  | 'kind'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-proxy'
  | 'kube-scheduler'
  | 'kubectl'
  | 'kubelet'
  | 'minio'
  | 'pause'

/** Commands that one `go build` makes together. */
interface Build {
  /** Folder below test/cluster/go; its go.mod pins the version. */
  readonly module: string
  /** Package of each command. */
  readonly packages: Readonly<Partial<Record<ToolName, string>>>
  /** How long it takes with nothing cached, on two cores. */
  readonly usually: string
}

const builds: readonly Build[] = [
  {
    module: 'kubernetes',
    packages: {
      'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
      'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
      'kube-proxy': 'k8s.io/kubernetes/cmd/kube-proxy',
      'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
      kubelet: 'k8s.io/kubernetes/cmd/kubelet',
    },
    usually: '5 min',
  },
  { module: 'kubernetes', packages: { kubectl: 'k8s.io/kubernetes/cmd/kubectl' }, usually: '1 min' },
  { module: 'etcd', packages: { etcd: 'go.etcd.io/etcd/server/v3' }, usually: '30 s' },
  { module: 'copyrelay', packages: { copyrelay: 'pgpack.io/test/cluster/copyrelay' }, usually: '5 s' },
  { module: 'coredns', packages: { coredns: 'pgpack.io/test/cluster/coredns' }, usually: '1 min' },
  { module: 'farlink', packages: { farlink: 'pgpack.io/test/cluster/farlink' }, usually: '5 s' },
  { module: 'helm', packages: { helm: 'helm.sh/helm/v3/cmd/helm' }, usually: '1 min' },
  { module: 'kind', packages: { kind: 'sigs.k8s.io/kind' }, usually: '30 s' },
  { module: 'minio', packages: { minio: 'github.com/minio/minio' }, usually: '3 min' },
  { module: 'pause', packages: { pause: 'pgpack.io/test/cluster/pause' }, usually: '5 s' },
]

const oldestGoMinor = 24

/**
 * Paths of the named tools, built into the cache where they are not there yet.
 * @throws HarnessError `PREREQUISITE_MISSING` where something is to be built and Go is missing or too old.
 */
export async function ensureTools<Name extends ToolName>(names: readonly Name[]): Promise<Record<Name, string>> {
  const paths: Partial<Record<ToolName, string>> = {}
  for (const build of builds) {
    const wanted = names.filter((name) => name in build.packages)
    if (wanted.length === 0) continue
    const directory = await ensureBuild(build)
    for (const name of wanted) paths[name] = join(directory, name)
  }
  return paths as Record<Name, string>
}

/** The path of a tool on PATH, or of one built here: for clients, whose exact version does not matter. */
export async function findTool(name: ToolName): Promise<string> {
  return findCommand(name) ?? (await ensureTools([name]))[name]
}

async function ensureBuild(build: Build): Promise<string> {
  const source = join(import.meta.dirname, 'go', build.module)
  const inputs = (await readdir(source)).sort()
  const names = Object.keys(build.packages)
  const label = names.length === 1 ? names.join() : build.module
  const key = join('tools', `${label}-${await digestFiles(inputs.map((file) => join(source, file)))}`)
  return cached(key, (directory) =>
    step(`building ${names.join(', ')}`, build.usually, (log) => compile(build, source, directory, log)),
  )
}

async function compile(build: Build, source: string, directory: string, log: string): Promise<void> {
  await requireGo()
  await mkdir(directory)
  const packages = Object.entries(build.packages)
  // -s -w leaves out the debugger's tables: a third of the size.
  const ldflags = ['-s', '-w', ...(await versionFlags(source))].join(' ')
  await run(
    'go',
    [
      'build',
      '-trimpath',
      '-buildvcs=false',
      '-ldflags',
      ldflags,
      '-o',
      `${directory}/`,
      ...packages.map(([, path]) => path),
    ],
    // Without cgo no C compiler is needed, and the commands run in an image without a libc.
    { cwd: source, log, env: { CGO_ENABLED: '0' } },
  )
  for (const [name, path] of packages) {
    const built = executableName(path)
    if (built !== name) await rename(join(directory, built), join(directory, name))
  }
}

/** The name `go build` gives the command of a package: its path's last part that is no major version. */
function executableName(packagePath: string): string {
  const parts = packagePath.split('/').filter((part) => !/^v\d+$/.test(part))
  return parts.at(-1) ?? packagePath
}

/** Kubernetes learns its version from the linker; without it a server says v0.0.0-master, and Helm refuses charts. */
async function versionFlags(source: string): Promise<string[]> {
  const module = await readFile(join(source, 'go.mod'), 'utf8')
  const [, version, major, minor] = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\d+)/.exec(module) ?? []
  if (version === undefined) return []
  const variables = { gitVersion: version, gitMajor: major, gitMinor: minor }
  return Object.entries(variables).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
}

async function requireGo(): Promise<void> {
  const advice = `install Go 1.${oldestGoMinor} or later (https://go.dev/doc/install) and put it on PATH`
  if (findCommand('go') === undefined) {
    throw new HarnessError('PREREQUISITE_MISSING', `Go is not on PATH: ${advice}`)
  }
  const version = (await run('go', ['env', 'GOVERSION'])).trim()
  const minor = /^go1\.(\d+)/.exec(version)?.[1]
  if (minor !== undefined && Number(minor) < oldestGoMinor) {
    throw new HarnessError('PREREQUISITE_MISSING', `Go is too old (${version}): ${advice}`)
  }
}
