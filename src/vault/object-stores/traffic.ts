/** Requests by kind, and bytes. A list counts once per page, as S3 charges it. */
export interface StoreTraffic {
  readonly puts: number;
  readonly gets: number;
  readonly lists: number;
  readonly removes: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export const NO_TRAFFIC: StoreTraffic = {
  puts: 0,
  gets: 0,
  lists: 0,
  removes: 0,
  sentBytes: 0,
  receivedBytes: 0,
};

export function addTraffic(to: StoreTraffic, more: Partial<StoreTraffic>): StoreTraffic {
  return {
    puts: to.puts + (more.puts ?? 0),
    gets: to.gets + (more.gets ?? 0),
    lists: to.lists + (more.lists ?? 0),
    removes: to.removes + (more.removes ?? 0),
    sentBytes: to.sentBytes + (more.sentBytes ?? 0),
    receivedBytes: to.receivedBytes + (more.receivedBytes ?? 0),
  };
}

export function requestsOf({ puts, gets, lists, removes }: StoreTraffic): number {
  return puts + gets + lists + removes;
}
