import type { ConnectionConfig } from './types.ts'

/** `host:port/database`, which may be shown anywhere: neither user nor password. */
export function describeConnection({ host, port, database }: ConnectionConfig): string {
  const shown = host.includes(':') ? `[${host}]` : host
  return `${shown}:${port}/${database}`
}
