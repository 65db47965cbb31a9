//! What the shop sells.

/// One article.
pub(crate) struct Product {
    pub(crate) slug: &'static str,
    pub(crate) name: &'static str,
    /// In cents.
    pub(crate) price: u32,
    pub(crate) picture: &'static str,
    pub(crate) words: &'static str,
}

impl Product {
    /// The price as people write it.
    pub(crate) fn price_shown(&self) -> String {
        format!("{}.{:02}", self.price / 100, self.price % 100)
    }
}

/// All articles.
pub(crate) const PRODUCTS: [Product; 4] = [
    Product {
        slug: "assam",
        name: "Assam, second flush",
        price: 640,
        picture: "cup.png",
        words: "Malty and dark, from one garden. 100 g, enough for forty cups.",
    },
    Product {
        slug: "mug",
        name: "Stoneware mug",
        price: 1400,
        picture: "mug.png",
        words: "Thrown by hand, glazed in leaf green. Holds 350 ml.",
    },
    Product {
        slug: "teapot",
        name: "Clay teapot",
        price: 3800,
        picture: "pot.png",
        words: "Unglazed red clay that remembers every tea. 600 ml.",
    },
    Product {
        slug: "tin",
        name: "Tea tin",
        price: 950,
        picture: "tin.png",
        words: "Brass-coloured, airtight, for 250 g of leaf.",
    },
];

/// The article of that name, if there is one.
pub(crate) fn find(slug: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|p| p.slug == slug)
}
