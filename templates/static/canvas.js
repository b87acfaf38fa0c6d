// Pictures on canvases.

/** A canvas of a picture {pixels, width, height}. */
export function canvasOf(picture) {
  const canvas = document.createElement("canvas");
  paint(canvas, picture);
  return canvas;
}

/** Puts a picture on a canvas, which takes its size. */
export function paint(canvas, { pixels, width, height }) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

/** A canvas or image enlarged by a whole number, pixels with hard edges. */
export function enlarged(source, factor) {
  const canvas = document.createElement("canvas");
  canvas.width = factor * (source.naturalWidth ?? source.width);
  canvas.height = factor * (source.naturalHeight ?? source.height);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** A canvas as a file; null where the browser doesn't know the format. */
export async function fileOf(canvas, type, quality) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, type, quality));
  return blob?.type === type ? blob : null;
}
