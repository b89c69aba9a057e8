import { lookup } from 'node:dns/promises'
import { isIP, isIPv6 } from 'node:net'
import { PgpackError } from '../errors.ts'
import type { ConnectionConfig, HostPort } from './types.ts'

export const DEFAULT_PORT = 5432
const MAX_PORT = 65_535

/**
 * Hosts and ports as libpq has them: lists with commas, one port for all hosts or one for each, an empty one for the
 * default. A host may also bring its own port (`db:5433`, `[::1]:5433`), which a Secret's or a resource's host may.
 * @throws PgpackError CONFIG_INVALID
 */
export function parseHosts(hosts: string, ports = '', addresses = ''): readonly HostPort[] {
  const names = hosts.split(',').map(splitHost)
  const numbers = spread(ports, names.length, 'port')
  const found = addresses === '' ? [] : spread(addresses, names.length, 'hostaddr')
  return names.map(({ host, port }, index) => {
    if (host === '') throw invalid(`host ${index + 1} of "${hosts}" is empty`)
    const hostAddress = found[index] ?? ''
    if (hostAddress !== '' && isIP(hostAddress) === 0) throw invalid(`its hostaddr "${hostAddress}" is no IP address`)
    return { host, port: parsePort(port ?? numbers[index] ?? ''), ...(hostAddress === '' ? {} : { hostAddress }) }
  })
}

/** The hosts of a configuration in the order in which they are tried. */
export function hostsOf({ host, port, hostAddress, hosts }: ConnectionConfig): readonly HostPort[] {
  return hosts ?? [{ host, port, ...(hostAddress === undefined ? {} : { hostAddress }) }]
}

/** The part of a configuration that says where; the inverse of `hostsOf`. */
export function atHosts(hosts: readonly HostPort[]): HostPort & Pick<ConnectionConfig, 'hosts'> {
  const [first] = hosts
  if (first === undefined) throw invalid('it names no host')
  return hosts.length === 1 ? first : { ...first, hosts }
}

/**
 * A name that stands for several addresses (a headless Service) as several hosts, for where it matters which one answers.
 * A name that cannot be looked up stays as it is: connecting then says why.
 */
export async function byAddress(host: HostPort): Promise<readonly HostPort[]> {
  if (host.hostAddress !== undefined || host.host.startsWith('/') || isIP(host.host) !== 0) return [host]
  const [found] = await Promise.allSettled([lookup(host.host, { all: true })])
  if (found.status === 'rejected' || found.value.length < 2) return [host]
  return found.value.map(({ address }) => ({ ...host, hostAddress: address }))
}

/** `db:5432`, `[::1]:5432`, and the address beside a name that has several. */
export function describeHost({ host, port, hostAddress }: HostPort): string {
  const shown = `${isIPv6(host) ? `[${host}]` : host}:${port}`
  return hostAddress === undefined || hostAddress === host ? shown : `${shown} (${hostAddress})`
}

/** A bare IPv6 address has colons of its own, and so may a socket's folder; brackets set a port apart. */
export function splitHost(text: string): { readonly host: string; readonly port?: string } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  const named = /^([^:/]*):([^:]*)$/.exec(text)
  const [, host = text, port] = bracketed ?? named ?? []
  return port === undefined || port === '' ? { host } : { host, port }
}

function spread(list: string, count: number, what: string): readonly string[] {
  const values = list.split(',')
  if (values.length === count) return values
  if (values.length === 1 && what === 'port') return Array.from({ length: count }, () => list)
  throw invalid(`it has ${values.length} values of ${what} for ${count} hosts: expected one for each`)
}

function parsePort(text: string): number {
  if (text === '') return DEFAULT_PORT
  const port = Number(text)
  if (/^\d+$/.test(text) && port >= 1 && port <= MAX_PORT) return port
  throw invalid(`its port is "${text}": expected a number from 1 to ${MAX_PORT}`)
}

function invalid(why: string): PgpackError {
  return new PgpackError('CONFIG_INVALID', `the connection's hosts cannot be used: ${why}`)
}
