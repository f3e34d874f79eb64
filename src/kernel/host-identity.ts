/** This host among those that share a database and vaults: a service is a host. */
export class HostIdentity {
  /** UUID, minted once in the home of the service. */
  readonly id: string;
  /** Name of the machine, for people. */
  readonly name: string;

  constructor(id: string, name: string) {
    this.id = id;
    this.name = name;
  }
}
