import { join } from 'node:path'
import { ensurePackages } from './packages.ts'
import { run } from './processes.ts'

/** PEM files of a certificate and its private key. */
export interface KeyPair {
  readonly certificate: string
  readonly key: string
}

/** What a certificate says: a client's name and groups, or a server's names and addresses. */
export interface Identity {
  /** Kubernetes takes it as the user's name. */
  readonly commonName: string
  /** Kubernetes takes it as the user's group. */
  readonly organization?: string
  readonly dnsNames?: readonly string[]
  readonly addresses?: readonly string[]
}

const newKey = ['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '3650']

/** Makes a certificate authority in a directory. */
export async function createAuthority(directory: string): Promise<KeyPair> {
  await ensurePackages(['openssl'])
  const pair = keyPair(directory, 'ca')
  await run('openssl', [
    ...[...newKey, '-subj', '/CN=pgpack-test', '-keyout', pair.key, '-out', pair.certificate],
    ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'],
  ])
  return pair
}

/** Issues a certificate for clients and servers alike, beside the authority's own. */
export async function issue(authority: KeyPair, directory: string, name: string, identity: Identity): Promise<KeyPair> {
  const pair = keyPair(directory, name)
  const organization = identity.organization === undefined ? '' : `/O=${identity.organization}`
  const alternatives = [
    ...(identity.dnsNames ?? []).map((host) => `DNS:${host}`),
    ...(identity.addresses ?? []).map((address) => `IP:${address}`),
  ]
  await run('openssl', [
    ...[...newKey, '-CA', authority.certificate, '-CAkey', authority.key],
    ...['-subj', `${organization}/CN=${identity.commonName}`, '-keyout', pair.key, '-out', pair.certificate],
    ...['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'extendedKeyUsage=clientAuth,serverAuth'],
    ...(alternatives.length === 0 ? [] : ['-addext', `subjectAltName=${alternatives.join()}`]),
  ])
  return pair
}

function keyPair(directory: string, name: string): KeyPair {
  return { certificate: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) }
}
