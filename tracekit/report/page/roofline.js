const startRoofline = (view, controls) => {};
