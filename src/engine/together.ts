/**
 * Runs tasks side by side. The first failure fires the signal that all of them were given; the promise settles only
 * when every task has, so that nothing goes on behind the caller's back. Rejects with that first failure.
 */
export async function together<T>(
  outer: AbortSignal,
  tasks: readonly ((signal: AbortSignal) => Promise<T>)[],
): Promise<T[]> {
  const controller = new AbortController()
  const signal = AbortSignal.any([outer, controller.signal])
  const failures: unknown[] = []
  const settled = await Promise.allSettled(
    tasks.map(async (task) => {
      try {
        return await task(signal)
      } catch (error) {
        failures.push(error)
        controller.abort(error)
        throw error
      }
    }),
  )
  if (failures.length > 0) throw failures[0]
  return settled.filter((result) => result.status === 'fulfilled').map((result) => result.value)
}
