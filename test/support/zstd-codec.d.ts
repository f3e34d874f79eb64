declare module 'zstd-codec' {
  const codec: unknown;
  export default codec;
}
