const startTimeline = (view, controls) => {};
