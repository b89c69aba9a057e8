import { Client } from 'minio'
import type { Cluster } from '../client.ts'
import { deployMinio, type MinioWorkload } from '../workloads.ts'
import { isDeployed, readSecret } from './objects.ts'

/** A bucket of the MinIO in the cluster, as it looks from this machine. */
export interface Bucket {
  readonly name: string
  /** Name of the Secret with its credentials. */
  readonly secretName: string
  /** What must not appear anywhere else. */
  readonly secretKey: string
  /** Keys below a prefix, in order. */
  keys(prefix: string): Promise<string[]>
  /** Multipart uploads of exactly this key that are neither completed nor aborted: MinIO lists no others. */
  unfinishedUploads(key: string): Promise<number>
  /** Removes everything below a prefix. */
  clear(prefix: string): Promise<void>
  close(): Promise<void>
}

const SERVER = 'minio'
const BUCKET = 'backups'

/** MinIO in the namespace with the bucket `backups`, made where it is missing. */
export async function ensureBucket(cluster: Cluster, namespace: string): Promise<Bucket> {
  const { secretName, accessKey, secretKey } = await ensureServer(cluster, namespace)
  const way = await cluster.portForward(namespace, `svc/${SERVER}`, 9000)
  const client = new Client({ endPoint: '127.0.0.1', port: way.port, useSSL: false, accessKey, secretKey })
  // A run that was interrupted may have left a server without the bucket.
  if (!(await client.bucketExists(BUCKET))) await client.makeBucket(BUCKET)
  const keys = async (prefix: string): Promise<string[]> => {
    const objects = (await client.listObjectsV2(BUCKET, prefix, true).toArray()) as { name: string }[]
    return objects.map(({ name }) => name).sort()
  }
  return {
    ...{ name: BUCKET, secretName, secretKey, keys },
    unfinishedUploads: async (key) => (await client.listIncompleteUploads(BUCKET, key, true).toArray()).length,
    clear: async (prefix) => {
      await client.removeObjects(BUCKET, await keys(prefix))
    },
    close: () => way.close(),
  }
}

async function ensureServer(cluster: Cluster, namespace: string): Promise<MinioWorkload> {
  if (!(await isDeployed(cluster, namespace, SERVER))) return deployMinio(cluster, namespace, SERVER, BUCKET)
  const secretName = `${SERVER}-credentials`
  const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '' } = await readSecret(cluster, namespace, secretName)
  const keys = { accessKey: AWS_ACCESS_KEY_ID, secretKey: AWS_SECRET_ACCESS_KEY }
  return { name: SERVER, secretName, ...keys, endpoint: `http://${SERVER}.${namespace}.svc:9000`, bucket: BUCKET }
}
