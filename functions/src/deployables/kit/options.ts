import { egressAtLoad, params } from "../../config/params";

/** Where all functions run, and how they reach Redis. */
export const BEHIND_VPC = {
  region: params.LOCATION,
  vpcConnector: params.VPC_CONNECTOR,
  vpcConnectorEgressSettings: egressAtLoad(),
};
