export interface MinioCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface MinioServer {
  readonly endpoint: string;
  readonly credentials: MinioCredentials;
  readonly dataFolder: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export function ensureMinio(): Promise<string>;

export function startMinio(options?: {
  readonly dataFolder?: string;
  readonly credentials?: MinioCredentials;
  readonly port?: number;
}): Promise<MinioServer>;
