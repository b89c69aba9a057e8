import { detectFlavour, findCluster, removeCluster } from '../index.ts'
import { say } from '../progress.ts'
import { uninstallOperator } from './operator.ts'
import { NAMESPACE } from './story.ts'

/** Takes everything away: the cluster that was made, or out of a given one what was put into it. */
export async function takeAway(): Promise<void> {
  const flavour = await detectFlavour()
  if (flavour === 'given') {
    const cluster = await findCluster()
    if (cluster === undefined) return
    await cluster.kubectl(['delete', 'namespace', NAMESPACE, '--ignore-not-found'])
    await uninstallOperator(cluster)
  } else {
    await removeCluster()
  }
  say(`nothing of the quickstart is left in the cluster (${flavour}); what was built stays cached`)
}
