import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'minio'
import type { Cluster } from './client.ts'

/** A PostgreSQL server in the cluster, with an empty database. */
export interface PostgresWorkload {
  /** Name of its Service and its Deployment. */
  readonly name: string
  /**
   * Name of a Secret in the shape of CloudNativePG's `<cluster>-app`: username, password, dbname,
   * host, port, uri.
   */
  readonly secretName: string
  readonly user: string
  readonly password: string
  readonly database: string
}

/** A MinIO server in the cluster, with an empty bucket. */
export interface MinioWorkload {
  /** Name of its Service and its Deployment. */
  readonly name: string
  /** Name of a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. */
  readonly secretName: string
  readonly accessKey: string
  readonly secretKey: string
  /** As pods of the cluster reach it. */
  readonly endpoint: string
  readonly bucket: string
}

/** Starts PostgreSQL in a namespace that exists, and waits until it answers. Its data goes with its pod. */
export async function deployPostgres(
  cluster: Cluster,
  namespace: string,
  name: string,
  image = cluster.images.postgres,
): Promise<PostgresWorkload> {
  const password = randomBytes(16).toString('hex')
  const values = { NAME: name, NAMESPACE: namespace, IMAGE: image, PASSWORD: password }
  await deploy(cluster, namespace, 'postgres.yaml', values)
  return { name, secretName: `${name}-app`, user: 'app', password, database: 'app' }
}

/** Starts MinIO in a namespace that exists, waits until it answers, and makes a bucket. Its data goes with its pod. */
export async function deployMinio(
  cluster: Cluster,
  namespace: string,
  name: string,
  bucket: string,
): Promise<MinioWorkload> {
  const accessKey = 'pgpack'
  const secretKey = randomBytes(16).toString('hex')
  const values = { NAME: name, IMAGE: cluster.images.minio, ACCESS_KEY: accessKey, SECRET_KEY: secretKey }
  await deploy(cluster, namespace, 'minio.yaml', values)
  const way = await cluster.portForward(namespace, `svc/${name}`, 9000)
  try {
    const client = new Client({ endPoint: '127.0.0.1', port: way.port, useSSL: false, accessKey, secretKey })
    if (!(await client.bucketExists(bucket))) await client.makeBucket(bucket)
  } finally {
    await way.close()
  }
  const endpoint = `http://${name}.${namespace}.svc:9000`
  return { name, secretName: `${name}-credentials`, accessKey, secretKey, endpoint, bucket }
}

async function deploy(
  cluster: Cluster,
  namespace: string,
  manifest: string,
  values: Readonly<Record<string, string>> & { readonly NAME: string },
): Promise<void> {
  const template = await readFile(join(import.meta.dirname, 'manifests', manifest), 'utf8')
  const input = template.replaceAll(/\$\{([A-Z_]+)\}/g, (placeholder, name: string) => values[name] ?? placeholder)
  await cluster.kubectl(['--namespace', namespace, 'apply', '--filename', '-'], { input })
  try {
    const patience = ['--timeout', '180s']
    await cluster.kubectl(['--namespace', namespace, 'rollout', 'status', `deployment/${values.NAME}`, ...patience])
  } catch (error) {
    await cluster.logsOnFailure(namespace)
    throw error
  }
}
