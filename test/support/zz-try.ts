import { startPostgres } from './postgres-server.ts'
import { connect } from '../../src/postgres/connection.ts'
const s = await startPostgres({ tls: true, authentication: 'cert' }); console.log('up')
const c = { ...s.config('postgres'), host: 'localhost', connectTimeoutSeconds: 3 }
try {
  const a = await connect(c); console.log(await a.query('select * from pg_stat_ssl where pid = pg_backend_pid()')); await a.close(); console.log('closed')
  const { cert, key, ...tls } = c.tls
  const t = performance.now()
  await connect({ ...c, tls }).catch((e) => console.log(performance.now() - t, e))
} catch (e) { console.log(e) } finally { await s.stop() }
