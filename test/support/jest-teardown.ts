import { endControlPlane } from './shared-control-plane.ts'

export default endControlPlane
