// Links to copy, and the QR code.
import { $, attribute, text } from "./dom.js";

const thanks = 1500; // milliseconds that "Copied" stays

export function showLinks(stream) {
  value($("link"), stream.link ?? "");
  value($("address"), new URL(stream.hls, document.baseURI).href);
  // Without the path the node lets no other page frame the player.
  $("embed-row").hidden = !stream.embed;
  const embed = new URL(stream.embed ?? "", document.baseURI).href;
  value($("embed"), `<iframe src="${embed}" width="640" height="360" allow="autoplay; fullscreen; picture-in-picture"></iframe>`);
  $("qr").dataset.src = `api/v1/streams/${stream.id}/qr.svg`;
}

function value(field, v) {
  if (field.value !== v) field.value = v;
}

// Copies a field's value, and says so on the button.
export async function copy(button, field) {
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    // The clipboard is only for secure origins, which another machine's node is not.
    field.select();
    document.execCommand("copy");
    button.focus();
  }
  text(button, "Copied");
  text($("said"), "Copied");
  setTimeout(() => {
    text(button, "Copy");
    text($("said"), "");
  }, thanks);
}

for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button, $(button.dataset.copy)));
for (const field of document.querySelectorAll(".copy input")) field.addEventListener("focus", () => field.select());
$("show-qr").addEventListener("click", () => {
  attribute($("qr"), "src", $("qr").dataset.src);
  $("qr-dialog").showModal();
});
$("qr-dialog").addEventListener("click", (event) => event.target === $("qr-dialog") && $("qr-dialog").close());
$("qr-done").addEventListener("click", () => $("qr-dialog").close());
