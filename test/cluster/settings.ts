import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/** The environment variables that steer the harness. Nothing else in test/cluster reads the environment. */
export interface Settings {
  /** `PGPACK_CACHE_DIR`: built tools, base images and the single-node cluster's state. */
  readonly cacheDirectory: string
  /** `KUBECONFIG`: use the cluster that this names. */
  readonly kubeconfig: string | undefined
  /** `PGPACK_CLUSTER`: name of the cluster the harness makes, so that two can stand side by side. */
  readonly clusterName: string
  /** `PGPACK_IMAGE`: an operator image that a given cluster can pull. */
  readonly operatorImage: string | undefined
  /** `PGPACK_REGISTRY`: where to push the operator image for a given cluster, as `host:port/path`. */
  readonly registry: string | undefined
  /** `NODE_EXTRA_CA_CERTS`: certificate authorities that npm trusts on this machine. */
  readonly certificateAuthorities: string | undefined
}

/** Reads the settings. An empty variable counts as unset. */
export function readSettings(environment: NodeJS.ProcessEnv = process.env): Settings {
  const value = (name: string): string | undefined => environment[name] || undefined
  const cacheHome = value('XDG_CACHE_HOME') ?? join(homedir(), '.cache')
  return {
    cacheDirectory: value('PGPACK_CACHE_DIR') ?? join(cacheHome, 'pgpack-operator'),
    kubeconfig: value('KUBECONFIG'),
    clusterName: value('PGPACK_CLUSTER') ?? 'pgpack',
    operatorImage: value('PGPACK_IMAGE'),
    registry: value('PGPACK_REGISTRY'),
    certificateAuthorities: value('NODE_EXTRA_CA_CERTS'),
  }
}

/** The checkout this harness belongs to. */
export const repositoryDirectory = dirname(dirname(import.meta.dirname))
