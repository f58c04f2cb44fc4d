/** One box as COCO files hold it: left, top, width, height, in pixels of the picture. */
export type BoxXywh = readonly [x: number, y: number, width: number, height: number];

/** What names a picture: a number in COCO's own files, a string in some others. */
export type ImageId = number | string;

/** A picture of a COCO file. Width and height (pixels) are needed by checks and drawings only. */
export interface CocoImage {
  readonly id: ImageId;
  readonly file_name?: string;
  readonly width?: number;
  readonly height?: number;
  /** Classes whose presence or absence in the picture was checked; only the Open Images metric asks. */
  readonly verified_category_ids?: readonly number[];
  /** Classes checked to be absent (LVIS' name for it). */
  readonly neg_category_ids?: readonly number[];
}

/** A class of a COCO file; ids may have gaps (COCO keeps 1 to 90 for its 80). */
export interface CocoCategory {
  readonly id: number;
  readonly name: string;
  readonly supercategory?: string;
}

/** One labelled object of a COCO file. */
export interface CocoAnnotation {
  readonly id?: number;
  readonly image_id: ImageId;
  readonly category_id: number;
  readonly bbox: BoxXywh;
  /** Pixels of the object's outline, or of its box where that is all there is; `width · height` if missing. */
  readonly area?: number;
  /** A region that holds many objects of the class: detections in it are neither right nor wrong. */
  readonly iscrowd?: number | boolean;
  /** An object that need not be found (a difficult one); see `useIgnore` of the evaluation. */
  readonly ignore?: number | boolean;
  readonly difficult?: number | boolean;
  /** Open Images' group-of mark; `iscrowd` means the same there. */
  readonly isgroup?: number | boolean;
}

/** Ground truth: the part of a COCO "instances" file that an evaluation reads. */
export interface CocoDataset {
  readonly images: readonly CocoImage[];
  readonly annotations: readonly CocoAnnotation[];
  readonly categories: readonly CocoCategory[];
}

/** One detection of a COCO results file. */
export interface CocoResult {
  readonly image_id: ImageId;
  readonly category_id: number;
  readonly bbox: BoxXywh;
  readonly score: number;
}

/** Ground truth as columns: what {@link CocoDataset} says, without an object for every box. */
export interface GroundTruthColumns {
  readonly images: readonly CocoImage[];
  readonly categories: readonly CocoCategory[];
  /** Annotation ids, `[N]`. */
  readonly ids: ArrayLike<number>;
  readonly imageIds: ArrayLike<ImageId>;
  readonly categoryIds: ArrayLike<number>;
  /** `[N, 4]`: x, y, width, height. */
  readonly boxes: ArrayLike<number>;
  readonly areas: ArrayLike<number>;
  /** 1 for a crowd (or group-of) region, `[N]`. */
  readonly crowd: ArrayLike<number>;
  /** 1 for an object marked `ignore` or `difficult`, `[N]`. */
  readonly ignore: ArrayLike<number>;
}

/** Detections as columns of equal length N. */
export interface DetectionColumns {
  readonly imageIds: ArrayLike<ImageId>;
  readonly categoryIds: ArrayLike<number>;
  /** `[N, 4]`: x, y, width, height. */
  readonly boxes: ArrayLike<number>;
  readonly scores: ArrayLike<number>;
}

/** Ground truth in either form. */
export type GroundTruth = CocoDataset | GroundTruthColumns;

/** Detections in either form. */
export type Detections = readonly CocoResult[] | DetectionColumns;
