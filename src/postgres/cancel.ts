import { once } from 'node:events'
import { describeConnection } from './describe.ts'
import { postgresError } from './errors.ts'
import type { ConnectionConfig } from './types.ts'
import { guarded, openPlain, openWire } from './wire.ts'

/** BackendKeyData: what a CancelRequest must show. */
export interface BackendKey {
  readonly processID: number
  readonly secretKey: number
}

/** 1234.5678 in place of a protocol version (protocol chapter, "CancelRequest"). */
const CANCEL_REQUEST_CODE = 80_877_102
const CANCEL_REQUEST_BYTES = 16

/**
 * Sends a CancelRequest over a connection of its own. Resolves when the server has closed it, which it does after
 * signalling the backend, so that a command sent afterwards is not the one that is hit.
 * @throws PgpackError POSTGRES_UNREACHABLE, POSTGRES_TLS
 */
export async function sendCancelRequest(
  config: ConnectionConfig,
  key: BackendKey,
  encrypted: boolean,
  signal: AbortSignal,
): Promise<void> {
  try {
    const { socket } = await (encrypted ? openWire(config, signal) : openPlain(config, signal))
    await guarded(socket, signal, async () => {
      const closed = once(socket, 'close')
      // Not `end`: a PgBouncer (seen: 1.18) dies when the client goes before the request was passed on.
      socket.resume().write(cancelRequest(key))
      await closed
    })
  } catch (error) {
    throw postgresError(error, { action: `cannot cancel a query at ${describeConnection(config)}`, connecting: true })
  }
}

function cancelRequest({ processID, secretKey }: BackendKey): Buffer {
  const message = Buffer.alloc(CANCEL_REQUEST_BYTES)
  message.writeInt32BE(CANCEL_REQUEST_BYTES, 0)
  message.writeInt32BE(CANCEL_REQUEST_CODE, 4)
  message.writeInt32BE(processID, 8)
  message.writeInt32BE(secretKey, 12)
  return message
}
