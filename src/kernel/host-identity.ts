interface HostFacts {
  readonly id: string;
  readonly name: string;
  readonly address?: string | undefined;
  readonly version: string;
}

/** This host among those that share a database and vaults: a service is a host. */
export class HostIdentity {
  /** UUID, minted once in the home of the service. */
  readonly id: string;
  /** Name of the machine, for people. */
  readonly name: string;
  /** One of its addresses in a network, for people; undefined if it has none. */
  readonly address: string | undefined;
  /** Of Hyperkeep. */
  readonly version: string;

  constructor({ id, name, address, version }: HostFacts) {
    this.id = id;
    this.name = name;
    this.address = address;
    this.version = version;
  }
}
