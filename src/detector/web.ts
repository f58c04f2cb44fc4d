import { ImageError, UsageError, WeightsError } from "../errors.ts";
import type { Picture, RawPicture } from "../image/picture.ts";
import type { RuntimeOptions } from "../runtime/session.ts";
import { webRuntime } from "../runtime/web.ts";
import { readSafetensors, type ModelClass } from "../weights/index.ts";
import { DetectorOn, type Platform } from "./detector.ts";
import { readyModel } from "./ready-model.ts";

/**
 * A picture as a page has it: an element, pixels, a file, the bytes of an encoded picture, or its address.
 * A `<video>` gives its current frame.
 */
export type WebPicture =
  | ImageData
  | ImageBitmap
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLVideoElement
  | Blob
  | ArrayBuffer
  | Uint8Array
  | RawPicture
  | string
  | URL;

/** Which weights: an address, or bytes; with what they do not say themselves. */
export interface WebModelSource {
  readonly weights: string | URL | Uint8Array;
  readonly model?: string;
  readonly classNames?: readonly (string | ModelClass)[];
  readonly imageSize?: number | readonly [number, number];
}

/** A trained model that finds objects in pictures, on onnxruntime-web. */
export class Detector extends DetectorOn<WebPicture> {
  /**
   * Loads a detector and compiles it.
   *
   * @param source the name `lite0-everyday` (the default; its weights lie beside this module), an address of weights, or
   * a description of these
   * @throws {WeightsError} if the weights cannot be fetched or used
   */
  static async load(
    source: string | URL | WebModelSource = "lite0-everyday",
    options: RuntimeOptions = {},
  ): Promise<Detector> {
    const wanted: WebModelSource =
      typeof source === "object" && !(source instanceof URL) ? source : { weights: addressOf(source) };
    const name = wanted.weights instanceof Uint8Array ? "weights" : String(wanted.weights);
    const bytes = wanted.weights instanceof Uint8Array ? wanted.weights : await fetched(wanted.weights);
    const detector = new Detector(readyModel(readSafetensors(bytes, name), wanted), webPlatform, options);
    await detector.warmUp();
    return detector;
  }
}

function addressOf(source: string | URL): string | URL {
  return source === "lite0-everyday"
    ? new URL("../../weights/lite0-everyday.safetensors", import.meta.url)
    : source;
}

async function fetched(address: string | URL): Promise<Uint8Array> {
  try {
    const response = await fetch(address);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw new WeightsError(
      `the weights cannot be fetched: ${(cause as Error).message} (${address})`,
      "check the address",
      cause,
    );
  }
}

const webPlatform: Platform<WebPicture> = {
  runtime: webRuntime,
  decode: pixelsOf,
  describe: (source) => {
    if (typeof source === "string") return source;
    if (source instanceof URL) return source.href;
    if (source instanceof File) return source.name;
    return "the picture";
  },
};

/** RGB pixels of anything that a page can draw; EXIF orientation applied, transparency over white as in Node. */
async function pixelsOf(source: WebPicture): Promise<Picture> {
  if (typeof source === "object" && "channels" in source) return fromRaw(source);
  if (source instanceof ImageData) return withoutAlpha(source);
  const drawable = await drawableOf(source);
  const [width, height] = sizeOf(drawable);
  if (width === 0 || height === 0)
    throw new ImageError("the picture has no pixels yet", "wait until it has loaded");
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.drawImage(drawable, 0, 0, width, height);
  if (drawable instanceof ImageBitmap && drawable !== source) drawable.close();
  return withoutAlpha(context.getImageData(0, 0, width, height));
}

type Drawable = Exclude<WebPicture, ImageData | Blob | ArrayBuffer | Uint8Array | RawPicture | string | URL>;

async function drawableOf(source: Exclude<WebPicture, ImageData | RawPicture>): Promise<Drawable> {
  if (typeof source === "string" || source instanceof URL)
    return decoded(new Blob([(await fetched(source)) as Uint8Array<ArrayBuffer>]));
  if (source instanceof Blob) return decoded(source);
  if (source instanceof ArrayBuffer || source instanceof Uint8Array)
    return decoded(new Blob([source as Uint8Array<ArrayBuffer>]));
  if (source instanceof HTMLImageElement) await source.decode();
  return source;
}

async function decoded(blob: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "default" });
  } catch (cause) {
    throw new ImageError("the picture cannot be decoded", "give a picture that this browser can show", cause);
  }
}

function sizeOf(drawable: Drawable): [number, number] {
  if (drawable instanceof HTMLImageElement) return [drawable.naturalWidth, drawable.naturalHeight];
  if (drawable instanceof HTMLVideoElement) return [drawable.videoWidth, drawable.videoHeight];
  return [drawable.width, drawable.height];
}

/** RGB of RGBA over white. */
function withoutAlpha({
  data,
  width,
  height,
}: {
  data: Uint8Array | Uint8ClampedArray | ImageData["data"];
  width: number;
  height: number;
}): Picture {
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    const alpha = data[from + 3]! / 255;
    for (let c = 0; c < 3; c++)
      rgb[to + c] = alpha === 1 ? data[from + c]! : Math.round(255 + (data[from + c]! - 255) * alpha);
  }
  return { data: rgb, width, height };
}

function fromRaw({ data, width, height, channels }: RawPicture): Picture {
  if (data.length !== width * height * channels)
    throw new UsageError(
      `${data.length} bytes are no ${width}×${height} picture of ${channels} channels`,
      "give 8 bits per channel, without padding",
    );
  if (channels === 3)
    return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), width, height };
  if (channels === 4) return withoutAlpha({ data, width, height });
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) rgb.fill(data[i]!, i * 3, i * 3 + 3);
  return { data: rgb, width, height };
}
