import { describeHost, hostsOf } from './hosts.ts'
import type { ConnectionConfig } from './types.ts'

/** `host:port/database`, which may be shown anywhere: neither user nor password. Several hosts are parted by commas. */
export function describeConnection(config: ConnectionConfig): string {
  const hosts = hostsOf(config).map(({ host, port }) => describeHost({ host, port }))
  return `${hosts.join(',')}/${config.database}`
}
