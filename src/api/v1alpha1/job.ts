import type { V1Affinity, V1LocalObjectReference, V1ResourceRequirements, V1Toleration } from '@kubernetes/client-node'
import * as Type from 'typebox'
import { integer, object, objectName, podField, type Static, stringMap, text } from '../schema.ts'

const YEAR = 365 * 24 * 3600

/** What a user may say of the Job and its pods: a curated set instead of a whole PodTemplateSpec (convention 19). */
export const JobSpec = object(
  {
    resources: Type.Optional(
      podField<V1ResourceRequirements>(
        "The engine container's requests and limits. Default: requests 250m CPU and 192Mi, limit 512Mi memory.",
        'object',
      ),
    ),
    nodeSelector: Type.Optional(stringMap('Node labels that the pod needs.', 32)),
    tolerations: Type.Optional(podField<V1Toleration[]>('Taints that the pod tolerates.', 'array', { maxItems: 32 })),
    affinity: Type.Optional(podField<V1Affinity>('Scheduling constraints of the pod.', 'object')),
    serviceAccountName: Type.Optional(
      objectName('ServiceAccount of the pod, for workload identity or image pulls; its token is never mounted.'),
    ),
    labels: Type.Optional(stringMap('Labels added to the Job and its pods.', 32)),
    annotations: Type.Optional(stringMap('Annotations added to the Job and its pods.', 32)),
    imagePullSecrets: Type.Optional(
      podField<V1LocalObjectReference[]>('Secrets for pulling the image.', 'array', { maxItems: 8 }),
    ),
    priorityClassName: Type.Optional(text("The pod's priority class.", 253)),
    backoffLimit: Type.Optional(
      integer('Attempts after the first one, for failures that a retry can help.', 0, 100, { default: 3 }),
    ),
    activeDeadlineSeconds: Type.Optional(integer('Time for all attempts together.', 1, YEAR)),
    pendingDeadlineSeconds: Type.Optional(
      integer('How long a pod may wait for a node, its image or its mounts before the run fails.', 10, YEAR, {
        default: 600,
      }),
    ),
    ttlSecondsAfterFinished: Type.Optional(
      integer('How long the finished Job and its pods are kept for their logs.', 0, YEAR, { default: 86400 }),
    ),
  },
  { description: 'How the Job of the run is made.', default: {} },
)

export type JobSpec = Static<typeof JobSpec>
