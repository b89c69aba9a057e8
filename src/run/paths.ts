/** Where the operator mounts things in a job pod, and where the engine looks for them. */
export const MOUNTS = {
  config: '/etc/pgpack/config',
  configFile: '/etc/pgpack/config/run.json',
  database: '/etc/pgpack/database',
  databaseCA: '/etc/pgpack/database-ca',
  databaseCert: '/etc/pgpack/database-cert',
  /** A transfer has two databases, which stand in the place of the one. */
  source: '/etc/pgpack/source',
  sourceCA: '/etc/pgpack/source-ca',
  sourceCert: '/etc/pgpack/source-cert',
  target: '/etc/pgpack/target',
  targetCA: '/etc/pgpack/target-ca',
  targetCert: '/etc/pgpack/target-cert',
  store: '/etc/pgpack/store',
  storeCA: '/etc/pgpack/store-ca',
  volume: '/var/lib/pgpack/volume',
  /** Kubernetes' default terminationMessagePath. */
  terminationMessage: '/dev/termination-log',
} as const

/** The name of an attempt is its pod's name, given by the downward API: unique within a run, and found by `kubectl`. */
export const ATTEMPT_VARIABLE = 'PGPACK_ATTEMPT'
