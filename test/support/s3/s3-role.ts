import { createHash, createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { S3Options } from '../../../src/vault/object-stores/s3/client.ts';

type Credentials = NonNullable<S3Options['credentials']>;

/** A policy of docs/policies for one bucket and prefix, and one service. */
export async function policyOf(
  role: string,
  bucket: string,
  prefix: string,
  service = '*',
): Promise<string> {
  const file = new URL(`../../../docs/policies/${role}.json`, import.meta.url);
  const text = await readFile(file, 'utf8');
  return text
    .replaceAll('BUCKET', bucket)
    .replaceAll('PREFIX', prefix)
    .replaceAll('SERVICE', service);
}

/**
 * Credentials that may do what the policy says and nothing more, from the token service of an S3
 * server (AssumeRole with a session policy).
 */
export async function assumeRole(
  server: { readonly endpoint: string; readonly credentials: Credentials },
  policy: string,
): Promise<Credentials> {
  const body = new URLSearchParams({
    Action: 'AssumeRole',
    Version: '2011-06-15',
    DurationSeconds: '3600',
    Policy: JSON.stringify(JSON.parse(policy)),
  }).toString();
  const headers = signed(server, body);
  const answer = await fetch(`${server.endpoint}/`, { method: 'POST', body, headers });
  const text = await answer.text();
  const value = (name: string): string => {
    const found = new RegExp(`<${name}>([^<]+)</${name}>`).exec(text)?.[1];
    if (found === undefined) {
      throw new Error(`AssumeRole failed: ${text}`);
    }
    return found;
  };
  return {
    accessKeyId: value('AccessKeyId'),
    secretAccessKey: value('SecretAccessKey'),
    sessionToken: value('SessionToken'),
  };
}

/** AWS signature version 4 of a POST to the token service. */
function signed(
  { endpoint, credentials }: { readonly endpoint: string; readonly credentials: Credentials },
  body: string,
): Record<string, string> {
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const day = date.slice(0, 8);
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded',
    host: new URL(endpoint).host,
    'x-amz-date': date,
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    'POST',
    '/',
    '',
    ...names.map((name) => `${name}:${headers[name] ?? ''}`),
    '',
    names.join(';'),
    sha256(body),
  ].join('\n');
  const scope = `${day}/us-east-1/sts/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n');
  const key = [day, 'us-east-1', 'sts', 'aws4_request'].reduce<Buffer>(
    (last, part) => createHmac('sha256', last).update(part).digest(),
    Buffer.from(`AWS4${credentials.secretAccessKey}`),
  );
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  const credential = `${credentials.accessKeyId}/${scope}`;
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
