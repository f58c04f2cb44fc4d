import {
  decodePicture,
  readSource,
  type PictureInput,
  type PictureSource,
  type RawPicture,
} from "../image/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { RuntimeOptions } from "../runtime/session.ts";
import { DetectorOn, type Platform } from "./detector.ts";
import { startLanes } from "./lane-threads.ts";
import { openModel, type ModelSource, type OpenOptions } from "./open-node.ts";
import type { ReadyModel } from "./ready-model.ts";

/**
 * A picture as Node has it: a path, a `file:` or `http(s):` URL, the bytes of an encoded picture, pixels, or one of
 * those that `expandInputs` found.
 */
export type NodePicture = PictureSource | ArrayBuffer | RawPicture | PictureInput;

/** Options of `Detector.load`. */
export interface LoadOptions extends RuntimeOptions, OpenOptions {}

/** A trained model that finds objects in pictures, on onnxruntime-node. */
export class Detector extends DetectorOn<NodePicture> {
  /**
   * Loads a detector and compiles it for single pictures.
   *
   * @param source a name (`lite0-everyday`, the default, lies in the package), a path or URL of a weight file, or a
   * description of these
   * @throws {UsageError} for a name that is not known
   * @throws {WeightsError} for a file that cannot be used
   * @throws {MachineError} where a download or the device is impossible
   */
  static async load(source?: string | URL | ModelSource, options: LoadOptions = {}): Promise<Detector> {
    return Detector.of(await openModel(source, options), options);
  }

  /** A detector of a model that is already open. */
  static async of(model: ReadyModel, options: LoadOptions = {}): Promise<Detector> {
    const detector = new Detector(model, nodePlatform(options), options);
    await detector.warmUp();
    return detector;
  }
}

function nodePlatform({ offline }: OpenOptions): Platform<NodePicture> {
  return {
    runtime: nodeRuntime,
    decode: async (source, { signal, admit }) => {
      if (source instanceof ArrayBuffer) return decodePicture(new Uint8Array(source), { admit });
      if (typeof source === "object" && "read" in source) {
        const name = source.source === "-" ? "standard input" : source.source;
        return decodePicture(await source.read({ offline, signal }), { name, admit });
      }
      if (typeof source === "object" && "channels" in source) return decodePicture(source);
      const { bytes, name } = await readSource(source, undefined, { offline, signal });
      return decodePicture(bytes, { name, admit });
    },
    describe: (source) => {
      if (typeof source === "string") return source;
      if (source instanceof URL) return source.href;
      return "source" in source ? source.source : "the picture";
    },
    startLanes,
  };
}
