import * as Type from 'typebox'
import {
  exactlyOneOf,
  localRef,
  object,
  objectName,
  relativePath,
  rules,
  type Static,
  secretKeyRef,
  text,
} from '../schema.ts'

const s3 = object(
  {
    endpoint: text('URL of the S3 service.', 2048, { pattern: '^https?://[^/?#]+/?$' }),
    bucket: text('Bucket; it must exist.', 63, { minLength: 3, pattern: '^[a-z0-9][a-z0-9.-]*[a-z0-9]$' }),
    prefix: Type.Optional(relativePath('Key prefix below which everything is written.', 256)),
    region: Type.Optional(text('Region, where the service wants one.', 63)),
    forcePathStyle: Type.Optional(
      Type.Boolean({ description: 'Bucket in the path (MinIO, Ceph) rather than in the host name.', default: true }),
    ),
    credentialsSecretRef: localRef(
      'Secret with accessKeyId and secretAccessKey (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ACCESS_KEY_ID and ACCESS_SECRET_KEY are known too).',
    ),
    caSecretRef: Type.Optional(
      secretKeyRef("Certificate authority that signed the service's certificate, PEM.", 'ca.crt'),
    ),
  },
  { description: 'A bucket of an S3 service.' },
)

const volume = object(
  {
    claimName: objectName('PersistentVolumeClaim in this namespace.'),
    path: Type.Optional(relativePath('Folder in the volume.', 512)),
  },
  { description: 'A folder of a persistent volume.' },
)

/** Members of every union that names a store. */
export const storeMembers = { s3: Type.Optional(s3), volume: Type.Optional(volume) }

/** A place for artefacts. */
export const StoreSpec = (description: string) =>
  object(storeMembers, { description, ...rules(exactlyOneOf('s3', 'volume')) })

export type StoreSpec = Static<ReturnType<typeof StoreSpec>>
export type S3Spec = Static<typeof s3>
