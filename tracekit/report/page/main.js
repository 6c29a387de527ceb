// Starts the switches of the page and its views.

startSwitches();
startInspector();
show("tree", modules.count > 0, startTree);
show("flame", modules.count > 1, startFlame);
show("blocks", payload.blocks.module.length > 0, startBlocks);
show("roofline", payload.on_gpu, startRoofline);
show("passes", rowsOf(payload.passes).length > 0, startPasses);
show("timeline", payload.timeline != null && payload.timeline.events.start_us.length > 0, startTimeline);
show("kernels", rowsOf(payload.kernels).length > 0, startKernels);
show("ops", rowsOf(payload.ops).length > 0, startOps);
startContents();
document.addEventListener("click", (event) => {
  const named = event.target.closest?.("[data-module]");
  if (named) select(Number(named.dataset.module));
});
document.documentElement.dataset.ready = "true";
