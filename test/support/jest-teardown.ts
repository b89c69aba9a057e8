import { removeCommands } from './command.ts'
import { endControlPlane } from './shared-control-plane.ts'

/** After all test files of a Jest run. */
export default async function tearDown(): Promise<void> {
  await Promise.all([removeCommands(), endControlPlane()])
}
