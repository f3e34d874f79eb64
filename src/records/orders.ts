import type { CollectorRows, RecordedPoint } from '../catalog/collector-rows.ts';
import type { ServiceRecords } from '../vault/records/service-records.ts';
import type { Decision } from '../vault/records/record-object.ts';
import { pointKey } from '../vault/format/object-names.ts';

/** A wish of a service that a point be given up. */
export interface Order {
  readonly vmId: string;
  readonly id: string;
  readonly service: string;
  readonly decision: Decision;
}

/** What services ask for now, and which of them showed an older state than before. */
export interface Orders {
  readonly orders: readonly Order[];
  readonly wentBack: readonly string[];
}

/** Reads the newest decisions of every service. An older state than was seen before is no order. */
export async function readOrders(
  records: ServiceRecords,
  rows: Pick<CollectorRows, 'sequences' | 'read'>,
  vaultId: string,
  signal: AbortSignal,
): Promise<Orders> {
  const seen = await rows.sequences(vaultId);
  const newest = new Map<string, { readonly sequence: number; readonly decisions: Decision[] }>();
  for (const { record } of await records.read(signal)) {
    if (record.kind === 'decisions') {
      newest.set(record.service, record);
    }
  }
  const orders: Order[] = [];
  const wentBack: string[] = [];
  for (const [service, { sequence, decisions }] of newest) {
    if (sequence < (seen.get(service) ?? 0)) {
      wentBack.push(service);
      continue;
    }
    await rows.read(vaultId, service, sequence);
    orders.push(
      ...decisions.map((decision) => ({
        ...{ vmId: decision.vm, id: decision.point },
        ...{ service, decision },
      })),
    );
  }
  return { orders, wentBack };
}

/**
 * Whether the service may ask for this point at all: a policy of its own took it. What a person
 * took, or another service, a person gives up.
 */
export function isItsOwn(
  { service }: Order,
  point: Pick<RecordedPoint, 'originKind' | 'originService'>,
): boolean {
  const { originKind, originService } = point;
  return (originKind === 'policy' || originKind === 'group') && originService === service;
}

export function orderKey({ vmId, id }: Order): string {
  return pointKey(vmId, id);
}
