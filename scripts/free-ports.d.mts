/** Finds `count` different ports that nothing listens on at 127.0.0.1. */
export function freePorts(count: number): Promise<number[]>;
