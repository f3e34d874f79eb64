import { request, type IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { Job } from '../../api/contract/jobs.ts';
import { Problem } from '../../api/contract/problem.ts';
import { API_PREFIX, jobEventsPath, ROUTES } from '../../api/contract/routes.ts';
import { Fault, isAbort } from '../../kernel/fault.ts';
import type { ServiceSettings } from '../cli-environment.ts';
import { connectionInHome, connectionTo, type ServiceConnection } from './service-connection.ts';
import { remoteError } from './service-problem.ts';
import { withSignOfLife } from '../terminal/sign-of-life.ts';

type RouteName = keyof typeof ROUTES;
type Answer<Name extends RouteName> = (typeof ROUTES)[Name] extends {
  answer: infer Schema extends z.ZodType;
}
  ? z.output<Schema>
  : undefined;

interface Call {
  /** Values of the `:name` parts of the path. */
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
}

/** A larger answer does not come from the service. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

interface Sending {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Speaks the HTTP contract with the service. */
export class ServiceClient {
  private readonly connection: ServiceConnection;

  private readonly say: (sentence: string) => void;

  /** @param say tells the user that an answer takes long */
  constructor(connection: ServiceConnection, say: (sentence: string) => void = () => undefined) {
    this.connection = connection;
    this.say = say;
  }

  /** Finds the service by the settings and connects once, before the user is asked for a secret. */
  static async locate(
    settings: ServiceSettings,
    signal: AbortSignal,
    say?: (sentence: string) => void,
  ): Promise<ServiceClient> {
    const { homeFolder, remote } = settings;
    const connection =
      remote === undefined ? connectionInHome(homeFolder) : connectionTo(remote.url, remote.token);
    (await connection.open(signal)).destroy();
    return new ServiceClient(connection, say);
  }

  /** @throws the service's fault, as the same Fault */
  async call<Name extends RouteName>(
    name: Name,
    call: Call,
    signal: AbortSignal,
  ): Promise<Answer<Name>> {
    return withSignOfLife(this.ask(name, call, signal), this.say);
  }

  private async ask<Name extends RouteName>(
    name: Name,
    { path = {}, query = {}, body }: Call,
    signal: AbortSignal,
  ): Promise<Answer<Name>> {
    const route = ROUTES[name];
    const filled = route.path.replace(/:([a-z]+)/g, (_, part: string) =>
      encodeURIComponent(path[part] ?? ''),
    );
    const search = new URLSearchParams(
      Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ).toString();
    const response = await this.send(
      `${API_PREFIX}${filled}${search === '' ? '' : `?${search}`}`,
      {
        method: route.method,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      },
      signal,
    );
    const text = await this.bodyOf(response, signal);
    if (!isGood(response)) {
      throw this.problem(response, text);
    }
    if (!('answer' in route)) {
      return undefined as Answer<Name>;
    }
    return this.parsed<unknown>(route.answer, text, response) as Answer<Name>;
  }

  /** Yields a job each time it changes, until the service ends the stream. */
  async *jobEvents(jobId: string, signal: AbortSignal): AsyncIterable<Job> {
    const response = await this.send(
      jobEventsPath(jobId),
      { headers: { accept: 'text/event-stream' } },
      signal,
    );
    if (!isGood(response)) {
      throw this.problem(response, await this.bodyOf(response, signal));
    }
    let pending = '';
    const decoder = new TextDecoder();
    for await (const piece of response as AsyncIterable<Uint8Array>) {
      pending += decoder.decode(piece, { stream: true });
      const lines = pending.split('\n');
      pending = lines.pop() ?? '';
      if (pending.length > ANSWER_BYTES_MAX) {
        throw this.unexpected(response);
      }
      for (const line of lines) {
        if (line.startsWith('data:')) {
          yield this.parsed(Job, line.slice('data:'.length), response);
        }
      }
    }
  }

  private async send(
    path: string,
    { method = 'GET', body, headers = {} }: Sending,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { host, token } = this.connection;
    const socket = await this.connection.open(signal);
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request({
        createConnection: () => socket,
        path,
        method,
        headers: {
          host,
          ...headers,
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        signal,
      });
      sent.once('response', resolve);
      sent.once('error', (error) => {
        reject(signal.aborted || isAbort(error) ? error : this.silent(error));
      });
      sent.end(body);
    });
  }

  private async bodyOf(response: IncomingMessage, signal: AbortSignal): Promise<string> {
    let text = '';
    const decoder = new TextDecoder();
    try {
      for await (const piece of response as AsyncIterable<Uint8Array>) {
        text += decoder.decode(piece, { stream: true });
        if (text.length > ANSWER_BYTES_MAX) {
          throw this.unexpected(response);
        }
      }
    } catch (error) {
      throw signal.aborted || error instanceof Fault ? error : this.silent(error);
    }
    return text;
  }

  private parsed<Value>(schema: z.ZodType<Value>, text: string, response: IncomingMessage): Value {
    const { data, error } = schema.safeParse(jsonOf(text));
    if (error !== undefined) {
      const [issue] = error.issues;
      throw this.unexpected(response, issue?.path.map(String).join('.'));
    }
    return data;
  }

  private problem(response: IncomingMessage, text: string): Error {
    const parsed = Problem.safeParse(jsonOf(text));
    if (!parsed.success) {
      return this.unexpected(response);
    }
    const { title, detail, context } = parsed.data;
    return remoteError({ code: title, message: detail, context });
  }

  /** Fault for a service that ended, or was ended, before it answered. */
  private silent(cause: unknown): Fault {
    const { name } = this.connection;
    return new Fault(
      'service.unreachable',
      `The connection to ${name} broke before it had answered. If it has stopped, start it with: hyperkeep serve`,
      { service: name },
      { cause },
    );
  }

  private unexpected(response: IncomingMessage, field = ''): Fault {
    const { name } = this.connection;
    const status = response.statusCode ?? 0;
    const where = field === '' ? '' : `, wrong at ${field}`;
    return new Fault(
      'service.unexpected-answer',
      `What ${name} answered is not Hyperkeep's (status ${String(status)}${where}). Check HYPERKEEP_URL, and that command line and service are of one version.`,
      { service: name, status },
    );
  }
}

function isGood({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode >= 200 && statusCode < 300;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The caller checks the shape, and `undefined` has none.
    return undefined;
  }
}
