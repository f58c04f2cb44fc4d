import { Detector, type Detection } from "efficientdet/web";

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const status = element("status");
const canvas = element<HTMLCanvasElement>("canvas");

/** Draws the picture and the boxes, and lists them. */
function show(picture: ImageBitmap, detections: readonly Detection[]): void {
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const context = canvas.getContext("2d")!;
  context.drawImage(picture, 0, 0);
  context.lineWidth = Math.max(2, picture.width / 300);
  context.font = `${Math.max(14, picture.width / 45)}px system-ui, sans-serif`;
  for (const { label, score, box } of detections) {
    context.strokeStyle = "#f5b800";
    context.strokeRect(box.xMin, box.yMin, box.xMax - box.xMin, box.yMax - box.yMin);
    const text = `${label} ${Math.round(score * 100)}%`;
    const { width } = context.measureText(text);
    const height = Math.max(18, picture.width / 34);
    const top = Math.max(0, box.yMin - height);
    context.fillStyle = "#f5b800";
    context.fillRect(box.xMin, top, width + 10, height);
    context.fillStyle = "#1a1200";
    context.fillText(text, box.xMin + 5, top + height * 0.75);
  }
  const rows = detections.map(({ label, score, box }) => {
    const row = document.createElement("tr");
    for (const value of [
      label,
      score.toFixed(2),
      ...[box.xMin, box.yMin, box.xMax, box.yMax].map((v) => v.toFixed(0)),
    ])
      row.insertCell().textContent = value;
    return row;
  });
  element("found").replaceChildren(...rows);
}

const detector = await Detector.load();
status.textContent = "ready: choose a picture";

async function look(source: Blob): Promise<void> {
  status.textContent = "looking…";
  try {
    const picture = await createImageBitmap(source);
    const start = performance.now();
    const detections = await detector.detect(picture);
    status.textContent = `${detections.length} found in ${(performance.now() - start).toFixed(0)} ms`;
    show(picture, detections);
  } catch (error) {
    status.textContent = (error as Error).message;
  }
}

element<HTMLInputElement>("file").addEventListener("change", (event) => {
  const file = (event.target as HTMLInputElement).files?.[0];
  if (file) void look(file);
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file) void look(file);
});
